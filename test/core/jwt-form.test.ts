import t from 'tap'
import { hasJwtHeader, looksLikeJwt } from '../../src/core/jwt-form.ts'

const head = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

t.test('a JWT is known by three parts and a head that names an algorithm, however often it comes', async t => {
  const good = head({ alg: 'ES256', kid: 'a' })
  for (const token of [`${good}.body.tail`, `${good}.other.tail`, `${good}..`, `${head({ alg: 'none', x: 'y'.repeat(2000) })}.a.b`]) {
    for (let i = 0; i < 3; i++) t.equal(hasJwtHeader(token), true, token.slice(0, 60))
  }
  for (const token of [
    good, `${good}.`, `${good}.a`, `${good}.a.b.c`, `.${good}.a`, `x${good}.a.b`, `${good}=.a.b`, `${head({ typ: 'JWT' })}.a.b`, `${head({ alg: 1 })}.a.b`,
    `${head([])}.a.b`, 'eyJ.alpha.0123456789abcdef', 'eyJhbGciOi.a.b', 'team.alpha.0123456789', '', '.', '..', 'eyJ..'
  ]) {
    for (let i = 0; i < 2; i++) t.equal(hasJwtHeader(token), false, token.slice(0, 60))
  }
  for (let i = 0; i < 1000; i++) hasJwtHeader(`${head({ alg: 'ES256', kid: i })}.a.b`)
  t.equal(hasJwtHeader(`${good}.body.tail`), true, 'what was forgotten is read again')
})

t.test('what looks like one has two dots', async t => {
  for (const token of ['eyJ.a.b', 'eyJ..', 'eyJx.y.']) t.equal(looksLikeJwt(token), true, token)
  for (const token of ['eyJ', 'eyJ.', 'eyJ.a', 'eyJ.a.b.c', 'eyJ...', 'ey.a.b', '.eyJ.a']) t.equal(looksLikeJwt(token), false, token)
})
