"""What the pictures of the error-surface lab share, whether PNG, GIF or page.

`scene` puts together what is shown: `heightmap` lays the surface over a grid, `decimation` chooses the steps that are
drawn, `columns` reads the traces' numbers there, `texts` has the sentences. `background`, `lines` and `axes` draw a
scene on matplotlib's axes; the page draws the same numbers with its own script.
"""
