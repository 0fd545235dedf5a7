"""Many requests with every fault that either side can have, and a look at what is left of them afterwards."""
