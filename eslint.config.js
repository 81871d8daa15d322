import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist', 'node_modules', '.cache', '.tap', 'coverage'] }),
  // A schema and the type it gives share one name.
  { files: ['**/*.ts'], rules: { '@typescript-eslint/no-redeclare': 'off' } },
  // Attacks on template engines, values in files of upstreams and variables of Grafana are written ${…} in plain texts.
  { files: ['**/inspection*.ts', 'test/upstreams/**', 'test/cli/servers.test.ts', 'test/create.test.ts', 'scripts/dashboard.ts'], rules: { 'no-template-curly-in-string': 'off' } }
]
