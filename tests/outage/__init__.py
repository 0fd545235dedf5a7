"""One of two providers is out for a while, under constant load."""
