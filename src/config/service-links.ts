/**
 * Kubernetes sets these variables in each pod, for each service of its namespace. For a service
 * named `callback` they are `CALLBACK_SERVICE_HOST`, `CALLBACK_PORT_8080_TCP_ADDR` and others. One
 * of them has the name of our own variable: `CALLBACK_PORT=tcp://10.0.0.5:8080`.
 */
const linkNames = /_SERVICE_HOST$|_SERVICE_PORT(?:_\w+)?$|_PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?$/;
const linkPort = /_PORT$/;
const linkValue = /^(?:tcp|udp|sctp):\/\//;

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment without service links, which are neither ours nor misspelled. */
export function withoutServiceLinks(env: Environment): Environment {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, value = '']) =>
        !linkNames.test(name) && !(linkPort.test(name) && linkValue.test(value.trim())),
    ),
  );
}
