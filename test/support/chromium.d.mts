export function chromium (): { program: string, env: Record<string, string | undefined> }
