// A certified OpenID provider on loopback, for the tests and the demo only: its users, passwords and client secrets are
// public, and its `password` grant exists so that a script gets a user's token with one POST.
//
//   node server.mjs --port 0 --keys DIR [--rotate] [--exit-with-parent]
//
// `--port 0` lets the kernel choose; the one line on standard output, `ready {…}`, tells the result. The signing keys stay in
// DIR, so a restart on the same port is the same issuer. `--rotate` adds a key and signs with it; the old ones stay published.
import { createServer } from 'node:http';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

// Standard output is for `ready` alone; the library would print its notices there. Set before it loads, so a dynamic import.
console.info = console.error;
const { Provider, errors } = await import('oidc-provider');

const ALGORITHM = 'RS256';
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

const PASSWORDS = { alice: 'alice-password', bob: 'bob-password' };

const CLIENTS = [
  { client_id: 'cli', client_secret: 'cli-secret', access_token_ttl: 300 },
  { client_id: 'short-lived', client_secret: 'short-lived-secret', access_token_ttl: 1 },
  // These ask the introspection endpoint, each in its own way.
  { client_id: 'gateway', client_secret: 'gateway-secret', access_token_ttl: 300 },
  { client_id: 'gateway-post', client_secret: 'gateway-post-secret', token_endpoint_auth_method: 'client_secret_post' },
  { client_id: 'gateway-rsa', own_key: 'rsa', token_endpoint_auth_method: 'private_key_jwt' },
  { client_id: 'gateway-ec', own_key: 'ec', token_endpoint_auth_method: 'private_key_jwt' },
];

// `resource` of a token request (RFC 8707: it must be a URI) → audience and form of the access token.
const RESOURCES = {
  'urn:jira-api': { audience: 'jira-api', accessTokenFormat: 'jwt' },
  'urn:other-api': { audience: 'other-api', accessTokenFormat: 'jwt' },
  'urn:jira-api:opaque': { audience: 'jira-api', accessTokenFormat: 'opaque' },
  'urn:other-api:opaque': { audience: 'other-api', accessTokenFormat: 'opaque' },
  ...Object.fromEntries(ALGORITHMS.map((alg) => [
    `urn:jira-api:${alg}`, { audience: 'jira-api', accessTokenFormat: 'jwt', jwt: { sign: { alg } } },
  ])),
};
const DEFAULT_RESOURCE = 'urn:jira-api';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    keys: { type: 'string' },
    rotate: { type: 'boolean', default: false },
    'exit-with-parent': { type: 'boolean', default: false },
  },
});
if (!options.keys) {
  console.error('usage: node server.mjs --port PORT --keys DIR [--rotate] [--exit-with-parent]');
  process.exit(2);
}

// Both halves leave the generator encoded: exporting a key object of a fresh pair can deadlock with the garbage collector
// (Node 20), once in some sixty starts.
const keyPair = (type, parameters, format = 'jwk') => generateKeyPairSync(type, {
  ...parameters,
  publicKeyEncoding: { type: 'spki', format: 'jwk' },
  privateKeyEncoding: { type: 'pkcs8', format },
});

// The newest key comes first: the library signs with the first key that fits.
function signingKeys(directory, rotate) {
  const file = join(directory, 'jwks.json');
  const keys = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).keys : [];
  if (rotate || keys.length === 0) {
    const { privateKey: jwk } = keyPair('rsa', { modulusLength: 2048 });
    const kid = createHash('sha256').update(jwk.n).digest('base64url').slice(0, 16);
    keys.unshift({ ...jwk, kid, use: 'sig', alg: ALGORITHM });
    if (!rotate) keys.push(...otherKeys());
    mkdirSync(directory, { recursive: true });
    writeFileSync(`${file}.new`, JSON.stringify({ keys }, null, 2), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
  return keys;
}

// One key for each further algorithm: a published key that names its algorithm signs with no other.
function otherKeys() {
  const make = { PS256: ['rsa', { modulusLength: 2048 }], ES256: ['ec', { namedCurve: 'P-256' }], EdDSA: ['ed25519'] };
  return Object.entries(make).map(([alg, parameters]) => {
    return { ...keyPair(...parameters).privateKey, kid: alg.toLowerCase(), use: 'sig', alg };
  });
}

// The clients that sign: their private keys are put beside the provider's own, for whoever plays the client.
function ownKey(kind, directory) {
  const [file, published] = [join(directory, `gateway-${kind}.pem`), join(directory, `gateway-${kind}.jwk`)];
  if (!existsSync(file)) {
    const parameters = kind === 'rsa' ? ['rsa', { modulusLength: 2048 }] : ['ec', { namedCurve: 'P-256' }];
    const { privateKey, publicKey } = keyPair(...parameters, 'pem');
    writeFileSync(published, JSON.stringify(publicKey));
    writeFileSync(file, privateKey, { mode: 0o600 });
  }
  const key = JSON.parse(readFileSync(published, 'utf8'));
  return { keys: [{ ...key, kid: kind, use: 'sig', alg: kind === 'rsa' ? 'RS256' : 'ES256' }] };
}

// Stable and opaque, as a real provider's `sub`: a mapping that takes `sub` for the username shows at once.
const subjectOf = (username) => createHash('sha256').update(`subject of ${username}`).digest('hex').slice(0, 24);
const usernameOf = (subject) => Object.keys(PASSWORDS).find((username) => subjectOf(username) === subject);

const claimsOf = (username) => ({
  sub: subjectOf(username),
  preferred_username: username,
  email: `${username}@acme.example`,
  email_verified: true,
});

function resourceServer(resource) {
  if (!Object.hasOwn(RESOURCES, resource)) throw new errors.InvalidTarget();
  return { scope: 'read write', jwt: { sign: { alg: ALGORITHM } }, ...RESOURCES[resource] };
}

async function passwordGrant(ctx) {
  const { client, params, provider } = ctx.oidc;
  const { username, password } = params;
  if (!Object.hasOwn(PASSWORDS, username) || PASSWORDS[username] !== password) {
    throw new errors.InvalidGrant('invalid username or password');
  }
  const resource = params.resource ?? DEFAULT_RESOURCE;
  const token = new provider.AccessToken({
    accountId: subjectOf(username),
    client,
    gty: 'password',
    resourceServer: new provider.ResourceServer(resource, resourceServer(resource)),
    scope: params.scope,
  });
  ctx.body = {
    access_token: await token.save(),
    token_type: 'Bearer',
    expires_in: token.expiration,
    scope: params.scope,
  };
  const scopes = params.scope?.split(' ') ?? [];
  if (scopes.includes('openid')) {
    const idToken = new provider.IdToken(claimsOf(username), { ctx });
    idToken.scope = params.scope;
    ctx.body.id_token = await idToken.issue({ use: 'idtoken' });
  }
}

function openidProvider(issuer, keys) {
  const ttl = (_ctx, _token, client) => client.access_token_ttl;
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: CLIENTS.map(({ own_key: kind, ...client }) => ({
      ...client,
      ...(kind && { jwks: ownKey(kind, options.keys), token_endpoint_auth_signing_alg: kind === 'rsa' ? 'RS256' : 'ES256' }),
      grant_types: ['client_credentials', 'password'],
      redirect_uris: [],
      response_types: [],
    })),
    extraClientMetadata: { properties: ['access_token_ttl'] },
    ttl: { AccessToken: ttl, ClientCredentials: ttl, IdToken: ttl },
    scopes: ['openid', 'read', 'write'],
    claims: { openid: ['sub'], profile: ['preferred_username'], email: ['email', 'email_verified'] },
    // A machine's token has no accountId, hence no username: only its client tells who it is.
    async extraTokenClaims(_ctx, token) {
      return token.accountId && { preferred_username: usernameOf(token.accountId) };
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: true },
      userinfo: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => DEFAULT_RESOURCE,
        getResourceServerInfo: async (_ctx, resource) => resourceServer(resource),
      },
    },
  });
  provider.registerGrantType('password', passwordGrant, ['username', 'password', 'scope', 'resource']);
  provider.on('server_error', (_ctx, error) => console.error(error));
  return provider;
}

const keys = signingKeys(options.keys, options.rotate);
const server = createServer();
// The issuer contains the port, so the provider can only be made once the kernel has chosen one.
server.listen(Number(options.port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = openidProvider(issuer, keys);
  server.on('request', provider.callback());
  console.log(`ready ${JSON.stringify({
    issuer,
    token_endpoint: provider.urlFor('token'),
    introspection_endpoint: provider.urlFor('introspection'),
    jwks_uri: provider.urlFor('jwks'),
    kid: keys[0].kid,
  })}`);
});

process.on('SIGTERM', () => process.exit(0));
if (options['exit-with-parent']) process.stdin.resume().on('end', () => process.exit(0));
