"""Program families: small, idiomatic programs as a user writes them, to be trained healthy or with one fault.

No rule was changed for these programs. Rules were changed with other programs of some of their kinds in view: LSTM,
ResNet, VAE, autoencoder, embedding bag, graph network and regression of a table.
"""
