// A Chromium for tests of pages: the one on the path, or one that needs nothing of the machine but the C library.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { fetchPackage, hasApt, onPath, type Program } from './debian.ts'
import { made } from './npm.ts'

const ADVICE = 'The tests of pages need a Chromium: install it (apt install chromium, brew install chromium), or set TEST_CHROMIUM to its path.'
// Made for machines without a desktop. It ships brotli archives: the program, the libraries that it needs, a font.
const PACKAGE = {
  spec: '@sparticuz/chromium@153.0.0',
  integrity: 'sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=='
}

/**
 * How to run a Chromium here.
 *
 * @throws {Error} with one line of advice
 */
export function chromium (): Program {
  const direct = process.env.TEST_CHROMIUM || onPath('chromium', 'chromium-browser', 'google-chrome')
  if (direct) return { program: direct, env: process.env }
  try {
    if (process.platform === 'linux' && process.arch === 'x64') return packaged()
    if (hasApt()) return debians()
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string }
    throw new Error(`${ADVICE} (fetching one failed: ${String(stderr || message).trim().split('\n')[0]})`)
  }
  throw new Error(ADVICE)
}

function packaged (): Program {
  const folder = made('chromium-headless', PACKAGE, (from, folder) => {
    const unpacked = (name: string) => brotliDecompressSync(readFileSync(join(from, 'bin', `${name}.br`)))
    writeFileSync(join(folder, 'chromium'), unpacked('chromium'), { mode: 0o755 })
    writeFileSync(join(folder, 'fonts.conf'), '<?xml version="1.0"?><fontconfig><dir prefix="relative">fonts</dir></fontconfig>\n')
    for (const archive of ['al2023.tar', 'fonts.tar', 'swiftshader.tar']) execFileSync('tar', ['xf', '-', '--no-same-owner', '--exclude=fonts.conf'], { cwd: folder, input: unpacked(archive) })
  })
  return { program: join(folder, 'chromium'), env: { ...process.env, LD_LIBRARY_PATH: join(folder, 'lib'), FONTCONFIG_PATH: folder } }
}

function debians (): Program {
  const { root, env } = fetchPackage('chromium')
  const program = join(root, 'usr/lib/chromium/chromium')
  if (!existsSync(program)) throw new Error('chromium is not in the package')
  return { program, env }
}
