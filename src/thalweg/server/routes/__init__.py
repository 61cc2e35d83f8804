"""The routes of the page's API, one module per tab; each ends with the table of its handlers, `ROUTES`."""
