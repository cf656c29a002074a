"""Backups that restore.

`logical` dumps one database with a manifest of the same moment; `engines` copy the whole cluster and
keep its write-ahead log, for any second since. Both are sealed to a public key (`crypto`), kept in a
folder and off site (`storage`), and listed by `catalogue`. `verifying` restores one and compares;
`restoring` puts one in place; `retention` decides what may go.
"""
