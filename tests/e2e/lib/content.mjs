// What messages carry beside text, and directives that carry JSON.

/** An image of one pixel. */
export const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

/** A document of one empty page. */
export const PDF = Buffer.from(
  '%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n' +
    '3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n',
);

export const dataUrl = (type, bytes) => `data:${type};base64,${bytes.toString('base64')}`;

/** The directives that call a tool with `value`, and that answer the text of `value`. */
export const argsOf = (value) => `args=${JSON.stringify(JSON.stringify(value))}`;
export const jsonOf = (value) => `text=${JSON.stringify(JSON.stringify(value))}`;
