"""The rows that callers see: frozen values, one class per thing that is stored, one module per subject.

All times are aware datetimes in UTC, kept to the microsecond. `bytes` fields hold serialized protobuf messages of the
contract, named in each class.
"""
