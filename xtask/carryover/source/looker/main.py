import mirror

print(mirror.line(), mirror.first_line(), mirror.length(), mirror.names())
print(mirror.failure())
mirror.warn()
