/** `lost`: Redis answers, but what it held is gone, so its "unknown" means nothing. */
export type Health = 'ok' | 'unreachable' | 'lost'
