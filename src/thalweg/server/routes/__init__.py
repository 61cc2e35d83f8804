"""The routes of the page's API, a module a tab. Each module has its handlers and, at its end, their table `ROUTES`."""
