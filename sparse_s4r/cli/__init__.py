"""The s4r command: one thin module per sub-command."""
