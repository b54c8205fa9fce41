"""The couriers' application."""
