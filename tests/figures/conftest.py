import matplotlib.figure
import matplotlib.text
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from thalweg.i18n import set_language


@pytest.fixture(autouse=True)
def _english():
    set_language("en")
    yield
    set_language(None)


class Drawn:
    """The last figure that was written, to look inside."""

    figure: matplotlib.figure.Figure

    @property
    def axes(self):
        return self.figure.axes

    def check_nothing_is_cut(self):
        renderer = FigureCanvasAgg(self.figure).get_renderer()
        width, height = self.figure.get_size_inches() * self.figure.dpi
        for text in self.figure.findobj(matplotlib.text.Text):
            if not text.get_visible() or not text.get_text().strip() or self._is_tick_out_of_view(text):
                continue
            box = text.get_window_extent(renderer)
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, (text.get_text(), box, (width, height))

    def _is_tick_out_of_view(self, text):
        """Matplotlib keeps ticks beyond the limits and does not draw them."""
        for axes in self.figure.axes:
            for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                    if text in (tick.label1, tick.label2):
                        return not min(limits) <= tick.get_loc() <= max(limits)
        return False


@pytest.fixture
def drawn(monkeypatch):
    keeper = Drawn()
    save = matplotlib.figure.Figure.savefig

    def keep(figure, *arguments, **options):
        keeper.figure = figure
        return save(figure, *arguments, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
    return keeper
