"""What the pictures of the error-surface lab share, whether PNG, GIF or page.

`relief` lays a surface over a grid, `decimation` chooses the steps that are drawn, `columns` reads the paths' numbers
at them, `looks` gives each path its color, dash and mark, `texts` the sentences. `contour`, `space` and `charts` draw
them on matplotlib's axes; the page draws the same numbers by its own script.
"""
