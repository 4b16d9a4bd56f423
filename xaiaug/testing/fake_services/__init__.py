"""Stand-ins for the paid services, on the loopback interface."""
