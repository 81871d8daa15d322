import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist', 'node_modules', '.cache', '.tap', 'coverage'] }),
  // A schema and the type it gives share one name.
  { files: ['**/*.ts'], rules: { '@typescript-eslint/no-redeclare': 'off' } },
  // Attacks on template engines look like template strings.
  { files: ['**/inspection*.ts'], rules: { 'no-template-curly-in-string': 'off' } }
]
