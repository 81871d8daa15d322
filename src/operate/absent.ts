/** Why a tool that an upstream should bring is not there. For operators: callers are never told. */
import type { Target } from '../core/permissions.ts'
import type { UpstreamStatus } from '../upstreams/upstreams.ts'

type BlamedUpstream = Pick<UpstreamStatus, 'name' | 'state' | 'trouble' | 'leftOut'>

/** @returns a sentence, or undefined where no upstream is to blame */
export function whyAbsent (upstreams: readonly BlamedUpstream[], { kind, name }: Target): string | undefined {
  for (const { name: upstream, state, trouble, leftOut } of upstreams) {
    const own = name.startsWith(`${upstream}_`) ? name.slice(upstream.length + 1) : name
    const left = leftOut.find(({ what }) => [own, name].some(one => what === `${kind} "${one}"`))
    if (left !== undefined) return `Upstream "${upstream}" lists it, but it is left out: ${left.why}`
    if (own !== name && state !== 'ready') {
      return `Upstream "${upstream}" is ${state}${trouble === undefined ? '' : ` (${trouble})`}: bring it back, then look again`
    }
  }
  return undefined
}
