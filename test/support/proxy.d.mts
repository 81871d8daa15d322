export function keyProxy (options: { upstreams: string[], key?: string }): Promise<{ url: string, close: () => Promise<void> }>
