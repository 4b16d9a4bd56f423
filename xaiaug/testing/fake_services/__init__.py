"""Stand-ins for paid services on the loopback interface."""
