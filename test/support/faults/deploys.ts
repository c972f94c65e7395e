/**
 * The number of creations during the deploys. The suite has few; DEPLOY_REQUESTS=1000 runs the
 * whole proof.
 */
export const deployRequests = Number(process.env['DEPLOY_REQUESTS'] ?? '80');
