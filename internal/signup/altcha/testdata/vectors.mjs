// node vectors.mjs < challenges.json  (challenges of ours -> solved by altcha-lib; and challenges of altcha-lib)
import { createChallenge, solveChallenge, verifySolution } from 'altcha-lib';
import { deriveKey } from 'altcha-lib/algorithms/pbkdf2';
import fs from 'node:fs';
const secret = 'a secret of thirty-two bytes, ok';
const out = { ours: [], theirs: [] };
for (const challenge of JSON.parse(fs.readFileSync(0, 'utf8'))) {
  const solution = await solveChallenge({ challenge, deriveKey });
  const said = await verifySolution({ challenge, solution, deriveKey, hmacSignatureSecret: secret });
  out.ours.push({ challenge, solution, verified: said.verified });
}
for (const level of [1, 2]) {
  const challenge = await createChallenge({ algorithm: 'PBKDF2/SHA-256', cost: 50, counter: 40 + level, deriveKey, data: { for: 'form-a', level },
    expiresAt: 4102444800, keyPrefixLength: 16, hmacSignatureSecret: secret });
  const solution = await solveChallenge({ challenge, deriveKey });
  out.theirs.push({ challenge, solution });
}
console.log(JSON.stringify(out, null, 1));
