#!/usr/bin/env python3
"""Checks a proof of `assay log prove DIGEST --json` without Assay.

usage: check_proof.py PROOF.json [ed25519:KEY]

Standard library and the `openssl` program only. It checks that the checkpoint and the envelope are
signed by the key (the proof's own, unless one is named), that the leaf names the envelope, and that
the leaf is in the tree under the checkpoint's root (RFC 6962, RFC 9162 section 2.1.3.2).
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile

# SubjectPublicKeyInfo of an Ed25519 key before its 32 bytes (RFC 8410).
SPKI = bytes.fromhex("302a300506032b6570032100")


def verify_signature(key, message, signature):
    with tempfile.TemporaryDirectory() as folder:
        files = {"key": SPKI + key, "message": message, "signature": signature}
        for name, data in files.items():
            with open(f"{folder}/{name}", "wb") as file:
                file.write(data)
        command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER"]
        command += ["-inkey", f"{folder}/key", "-in", f"{folder}/message", "-sigfile", f"{folder}/signature"]
        if subprocess.run(command, capture_output=True).returncode != 0:
            sys.exit("a signature does not verify")


def root_from_path(index, size, leaf, path):
    node, last, result = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            sys.exit("the path is too long")
        if node & 1 or node == last:
            result = hashlib.sha256(b"\x01" + sibling + result).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = hashlib.sha256(b"\x01" + result + sibling).digest()
        node, last = node >> 1, last >> 1
    if last != 0:
        sys.exit("the path is too short")
    return result


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        proof = json.load(file)
    key = (sys.argv[2] if len(sys.argv) > 2 else proof["publicKey"]).removeprefix("ed25519:")
    key = base64.b64decode(key, validate=True)

    # The checkpoint: C2SP signed-note, a line of key hash and signature behind the text.
    body, _, signatures = proof["checkpoint"].rpartition("\n\n")
    body += "\n"
    origin, size, root = body.splitlines()[:3]
    note_hash = hashlib.sha256(origin.encode() + b"\n\x01" + key).digest()[:4]
    lines = [line.split(" ") for line in signatures.splitlines()]
    signature = next((base64.b64decode(line[2]) for line in lines if line[1] == origin), b"")
    if signature[:4] != note_hash:
        sys.exit("the checkpoint is signed by another key")
    verify_signature(key, body.encode(), signature[4:])

    # The envelope: DSSE over the raw payload.
    envelope_bytes = base64.b64decode(proof["envelope"])
    digest = "sha256:" + hashlib.sha256(envelope_bytes).hexdigest()
    if digest != proof["statement"]:
        sys.exit("the envelope has another digest")
    envelope = json.loads(envelope_bytes)
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    verify_signature(key, message, base64.b64decode(envelope["signatures"][0]["sig"]))

    # The leaf, and its place in the tree.
    leaf = base64.b64decode(proof["leaf"])
    if json.loads(leaf)["envelope"] != digest:
        sys.exit("the leaf names another envelope")
    path = [base64.b64decode(node) for node in proof["path"]]
    found = root_from_path(proof["index"], int(size), hashlib.sha256(b"\x00" + leaf).digest(), path)
    if found != base64.b64decode(root):
        sys.exit("the path leads to another root")
    print(f"verified: {json.loads(payload)['predicateType']} is leaf {proof['index']} of {size} in {origin}")


main()
