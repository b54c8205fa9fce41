"""HTTP for those who reach a server: sources and couriers."""
