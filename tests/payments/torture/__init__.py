"""What may go wrong with money, by its family, and where it is made to. Paths are below tests/.

T1   killed at each point of taking, capturing, cancelling,      payments/torture/test_crashes.py,
     refunding, working off a webhook                            test_torture*.py
T2   every fault at every operation of every vendor              payments/torture/test_unknown.py
T3   sixteen tills and one bill; parts that overlap              payments/torture/test_sixteen_*.py,
                                                                 payments/test_races.py
T4   double taps; the same key with another body                 payments/torture/test_readers_late.py,
                                                                 payments/test_races.py, test_services.py
T5   refunds at once, made elsewhere, bounced, of a dispute      payments/torture/test_refunds_late.py,
                                                                 payments/cards/test_refunds.py, test_fees.py
T6   webhooks early, late, often, forged, of others, dead        payments/cards/test_webhooks.py,
                                                                 test_commands.py,
                                                                 payments/{stripe,square,sumup}/test_webhooks.py
T7   a tap or an answer against its cancellation; a tap much     payments/torture/test_readers_late.py,
     later; a second tap; a reader that dies; what nobody        test_driver.py, test_deciding.py,
     knows of after a day                                        payments/cards/test_test_terminal.py
T8   a vendor away for an hour, or busy (429)                    payments/torture/test_breaker.py
T9   a key that may be forgotten is not sent again               payments/torture/test_refunds_late.py
T10  our clock ten minutes wrong                                 payments/torture/test_infrastructure.py
T11  the database lost between two steps, and at a webhook       payments/torture/test_infrastructure.py
T12  Redis and the queue lost                                    payments/torture/test_infrastructure.py,
                                                                 test_breaker.py
T13  cash taken offline: told twice, and after a card paid       payments/test_offline.py,
                                                                 payments/torture/test_edits.py
T14  an account disconnected, rotated, changed                   payments/torture/test_edits.py
T15  the bill edited while it is being paid                      payments/torture/test_edits.py
T16  another amount than was asked; a payment taken at two       payments/torture/test_edits.py, test_twice.py
     vendors
T17  card numbers in requests and in logs                        api/test_cards.py
T18  whatever the amounts: shares, tax, books                    payments/torture/test_properties.py
T19  a vendor asked inside a transaction                         payments/torture/test_infrastructure.py
T20  mistakes put in on purpose are caught                       payments/torture/test_mutants.py,
                                                                 payments/test_invariants.py
"""
