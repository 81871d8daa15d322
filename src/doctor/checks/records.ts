/** The records, and whether the server of this machine is ready. */
import { bad, defineCheck, warn, well, type HealthCheck } from '../check.ts'

/** Of AUDIT_MAX_BYTES, and of a disk: what is over it is nearly full. */
const FULL = 0.8
const MIB = 2 ** 20

export const RECORD_CHECKS: readonly HealthCheck[] = [
  defineCheck({
    id: 'audit-folder',
    asks: 'records can be written, and there is room',
    needs: 'spool',
    run ({ folder, fault, usedBytes, maxBytes, freeBytes, isVolatile }) {
      if (fault !== undefined) {
        return bad(
          `No record can be written in ${folder} (${fault}): they are in the log alone`,
          'Let the user of the server write there, or set AUDIT_DIR to a folder where it may'
        )
      }
      if (usedBytes > maxBytes * FULL || freeBytes < maxBytes - usedBytes) {
        return warn(
          `${folder} holds ${Math.round(usedBytes / MIB)} of ${Math.round(maxBytes / MIB)} MiB, and ` +
            `${Math.round(freeBytes / MIB)} MiB are free`,
          'Move older segments away, give it a larger disk, or change AUDIT_MAX_BYTES or AUDIT_RETENTION_DAYS'
        )
      }
      return isVolatile
        ? warn(`${folder} is in memory: a restart of the machine forgets records`, 'Put AUDIT_DIR on a disk')
        : well(`${Math.round(usedBytes / MIB)} MiB in ${folder}`)
    }
  }),
  defineCheck({
    id: 'audit-chain',
    asks: 'the records of the last hour are whole',
    needs: 'spool',
    run ({ fault, chains }) {
      if (fault !== undefined) return undefined
      const altered = chains.find(({ fault }) => fault !== undefined)
      if (altered !== undefined) {
        return bad(
          `Records were altered: ${altered.fault}`, 'audit verify names each place; keep the files as they are'
        )
      }
      const lost = chains.reduce((sum, chain) => sum + chain.lost, 0)
      return lost === 0
        ? well(`${chains.length} chains`)
        : warn(`${lost} records were lost while the disk took none`, 'Make room: see audit-folder')
    }
  }),
  defineCheck({
    id: 'ready',
    asks: 'the server of this machine is ready',
    needs: 'probe',
    run: ({ status, body }) => status === 200
      ? well('/readyz answers 200')
      : bad(`/readyz answers ${status}: ${body}`, 'What it names keeps traffic away: see the other lines')
  })
]
