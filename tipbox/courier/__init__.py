"""What a courier's machine does: it fetches Bundles from a server and delivers those of desks. It opens none."""
