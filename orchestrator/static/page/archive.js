// Read the first entry of a ZIP, which holds the report. The service stores entries and never deflates them.

const LOCAL_HEADER = 0x04034b50; // APPNOTE.TXT 4.3.7
const HEADER_BYTES = 30;

/** Return the bytes of the first entry. */
export function firstEntry(buffer) {
  const view = new DataView(buffer);
  const [signature, method, size] = [view.getUint32(0, true), view.getUint16(8, true), view.getUint32(18, true)];
  if (signature !== LOCAL_HEADER || method !== 0) {
    throw new Error(`expected a ZIP whose first entry is stored, got signature ${signature}, method ${method}`);
  }
  const [name, extra] = [view.getUint16(26, true), view.getUint16(28, true)];
  return new Uint8Array(buffer, HEADER_BYTES + name + extra, size);
}
