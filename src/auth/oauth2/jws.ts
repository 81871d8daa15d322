/** Signatures of compact JWS (RFC 7515), checked with a key that was chosen before. */
import { constants, verify, type KeyObject } from 'node:crypto'

/**
 * Whether a signature is that of the key.
 *
 * @param alg one that the key is for (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2)
 * @param signed what stands before the last dot
 */
export function signatureFits (alg: string, key: KeyObject, signed: string, signature: Buffer): boolean {
  const data = Buffer.from(signed)
  if (alg === 'EdDSA' || alg === 'Ed25519') return verify(null, data, key, signature)
  const hash = `sha${alg.slice(2)}`
  if (alg.startsWith('ES')) return verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature)
  if (alg.startsWith('PS')) {
    return verify(
      hash,
      data,
      { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
      signature
    )
  }
  return verify(hash, data, key, signature)
}
