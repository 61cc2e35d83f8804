"""Program families: small, idiomatic programs as a user writes them, to be trained healthy or with one fault.

The thresholds of the rules were chosen on the old zoo's perceptron, CNN and transformer, and on none of these: a figure
of these families is one of programs left out whole, for as long as no threshold is chosen on them.
"""
