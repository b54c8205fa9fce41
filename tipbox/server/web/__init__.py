"""The Flask applications of sources and couriers, their routes, pages, headers and rates."""
