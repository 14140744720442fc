# Verifies every DKIM signature of the mails named, with dkimpy, and asks one
# name server for the keys: HOST PORT FILE…
import json
import sys

import dkim
import dns.resolver

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = [sys.argv[1]], int(sys.argv[2])
kept = {}


def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    if name not in kept:
        kept[name] = b"".join(resolver.resolve(name, "TXT", tcp=True)[0].strings)
    return kept[name]


signatures = verified = 0
for path in sys.argv[3:]:
    with open(path, "rb") as f:
        message = f.read()
    d = dkim.DKIM(message)
    count = sum(1 for name, _ in d.headers if name.lower() == b"dkim-signature")
    for i in range(count):
        signatures += 1
        try:
            verified += bool(dkim.DKIM(message).verify(idx=i, dnsfunc=txt))
        except dkim.DKIMException as why:
            print(path, i, why, file=sys.stderr)
print(json.dumps({"Verified": verified, "Signatures": signatures}))
