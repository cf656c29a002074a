"""The event log of each restaurant, and the hub that streams it to sockets."""
