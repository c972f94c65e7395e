/** The page for a customer without a known return URL. It does not tell the outcome. */
export const neutralPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Thank you</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;margin:20vh auto;max-width:32rem;padding:0 1rem;text-align:center}</style>
<h1>Thank you</h1>
<p>You can close this window and return to the shop.</p>
</html>
`;
