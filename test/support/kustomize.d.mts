export function render (folder: string): string
