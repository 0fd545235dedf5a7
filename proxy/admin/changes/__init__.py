"""What can be changed by way of the admin plane, and what changes by itself: expiries and shifts."""
