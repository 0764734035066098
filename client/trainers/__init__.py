"""Local trainers: what a site does with the global weights. One file per trainer, one line here."""

from client.trainers.standard import Standard

TRAINERS = {"standard": Standard}
