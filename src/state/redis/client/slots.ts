/**
 * Slots of a Cluster (Redis Cluster specification, "Key distribution model"): which one a key is in, and a
 * name for each.
 */

export const SLOTS = 16384

/** The slot of a key: of what stands between its first braces, if anything does, else of the whole. */
export function slotOf (key: string): number {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  return crc16(close > open + 1 ? key.slice(open + 1, close) : key) % SLOTS
}

/** A hash tag that lies in the slot: the shortest number, in base 36. */
export function tagOf (slot: number): string {
  for (let i = 0; ; i++) {
    const tag = i.toString(36)
    if (crc16(tag) % SLOTS === slot) return tag
  }
}

/** Such a tag for every slot. */
export function allTags (): string[] {
  const tags: string[] = Array(SLOTS).fill('')
  let missing = SLOTS
  for (let i = 0; missing > 0; i++) {
    const tag = i.toString(36)
    const slot = crc16(tag) % SLOTS
    if (tags[slot] !== '') continue
    tags[slot] = tag
    missing--
  }
  return tags
}

/** CRC-16/XMODEM. */
function crc16 (text: string): number {
  let crc = 0
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
    crc &= 0xffff
  }
  return crc
}
