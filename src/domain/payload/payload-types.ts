// Generated from the schemas in job-payloads.ts and api-shapes.ts by `npm run schemas`.

/** A request for a QuickPay ID. */
export type TokenizationRequest = {
  /** Version of the payload; default 1. */
  v?: 1 | undefined;
  /** Name of the stored credential; default `default`. */
  credential?: string | undefined;
  /** The order that the customer approves. */
  order: {
    /** Three-letter ISO 4217 code, such as `EUR`. */
    currency: string;
    /** Decimal amount above zero with at most two decimals, such as `12.50`. */
    amount: string;
    /** Oceanpayment's name of the payment method, such as `Klarna`. */
    methods: string;
    /** URL for the customer's browser with the gateway's result; default: the worker's own. */
    redirectUrl?: string | undefined;
    /** URL for the push of the gateway's server; default: the worker's own. */
    notifyUrl?: string | undefined;
    /** Free text that the gateway repeats in its reply. */
    remark?: string | undefined;
    /** IP address of the customer. */
    ip?: string | undefined;
    /** Free text about the order that the gateway repeats in its reply. */
    description?: string | undefined;
  };
  /** The merchant's side of the request. */
  merchant: {
    /** Merchant's reference of this request, unique per terminal. It is the idempotency key. */
    referenceId: string;
  };
  /** Name and address of the customer. The worker stores them sealed. */
  billing: {
    /** First name of the customer. */
    firstname: string;
    /** Last name of the customer. */
    lastname: string;
    /** E-mail address of the customer. */
    email: string;
    /** Phone number of the customer. */
    phone?: string | undefined;
    /** Two-letter ISO 3166-1 code of the country, such as `DE`. */
    country: string;
    /** State or province. */
    state?: string | undefined;
    /** City. */
    city?: string | undefined;
    /** Street and house number. */
    address?: string | undefined;
    /** Postal code. */
    zip?: string | undefined;
  };
  /** The customer in the merchant's system. */
  customer: {
    /** Id of the customer in the merchant's system. Tokenizations can be found by it. */
    id: string;
  };
  /** The customer's device. */
  device?:
    | {
        /** Environment of the device. The gateway documents no values. */
        environment?: string | undefined;
        /** Operating system of the device. The gateway documents no values. */
        osType?: string | undefined;
      }
    | undefined;
  /** The subscription that the token pays for. */
  subscription?:
    | {
        /** Name of the subscription. */
        name?: string | undefined;
        /** Interval between two payments. The gateway documents no unit. */
        interval?: string | undefined;
        /** Number of intervals. The gateway documents no limit. */
        intervalCount?: string | undefined;
      }
    | undefined;
  /** Risk data about the customer, as a text with compact JSON. */
  customer_info?: string | undefined;
  /** Data about the goods or services, as a text with compact JSON. */
  voucher_info?: string | undefined;
  /** Shop's URL for the customer at the end. `RETURN_URL_HOSTS` must list its host. */
  returnUrl?: string | undefined;
};

/** A request to disable a token. */
export type TokenDisable =
  | {
      /** Version of the payload: 1. */
      v?: 1 | undefined;
      /** Id of the tokenization. */
      tokenizationId: string;
    }
  | {
      /** Version of the payload: 1. */
      v?: 1 | undefined;
      /** Merchant's reference of the request, at the terminal of `credential`. */
      merchantReferenceId: string;
      /** Name of the stored credential; default `default`. */
      credential?: string | undefined;
    };

/** A message of the gateway that the backend received itself. */
export type RawCallback = {
  /** Version of the payload; default 1. */
  v?: 1 | undefined;
  /** Header `Content-Type` of the message as received. */
  contentType?: string | undefined;
  /** Body of the message as received; for a redirect by GET, its query string. */
  body: string;
  /** Instant of receipt, at most `CALLBACK_REFUSED_MAX_AGE_MS` ago; default: now. */
  receivedAt?: string | undefined;
  /** IP address of the sender. The worker stores only a keyed digest of it. */
  sourceIp?: string | undefined;
};

/** A request to renew an access token. */
export type AccessTokenRefresh = {
  /** Version of the payload: 1. */
  v?: 1 | undefined;
  /** Name of the stored OPCard credential. */
  credential: string;
  /** Generation to renew. The job does nothing if the current generation is a different one. */
  generation?: number | undefined;
};

/** A filter of tokenizations: at least one field. A tokenization must match all given fields. */
export type TokenizationFilter = {
  /** Merchant's reference. */
  merchantReferenceId?: string | undefined;
  /** Gateway's reference. */
  orderReferenceId?: string | undefined;
  /** QuickPay ID. */
  quickpayId?: string | undefined;
  /** Merchant's id of the customer. */
  customerId?: string | undefined;
  /** State of the tokenization. */
  state?:
    | 'requested'
    | 'submitting'
    | 'submit_unknown'
    | 'awaiting_customer'
    | 'confirming'
    | 'active'
    | 'failed'
    | 'expired'
    | 'disabling'
    | 'disabled'
    | 'token_expired'
    | undefined;
};

/** A tokenization, without billing data and without the QuickPay ID. */
export type TokenizationView = {
  /** Id of the tokenization. */
  id: string;
  /** State of the tokenization. */
  state:
    | 'requested'
    | 'submitting'
    | 'submit_unknown'
    | 'awaiting_customer'
    | 'confirming'
    | 'active'
    | 'failed'
    | 'expired'
    | 'disabling'
    | 'disabled'
    | 'token_expired';
  /** Number of changes so far. Webhook events contain it as `sequence`. */
  version: number;
  /** Reason why an operator has to review it; null without one. */
  review:
    | 'second_token'
    | 'failed_after_success'
    | 'evidence_id_differs'
    | 'reconcile_exhausted'
    | 'lost_request'
    | 'redirect_lost'
    | 'disable_refused'
    | null;
  /** Merchant's reference of the request. */
  merchantReferenceId: string;
  /** Gateway's reference of the request; null until the gateway has named it. */
  orderReferenceId: string | null;
  /** URL to send the customer to; null without one. */
  redirectUrl: string | null;
  /** Name of the credential. */
  credential: string;
  /** Oceanpayment's name of the payment method. */
  methods: string;
  /** Merchant's id of the customer; null if the worker can't open the sealed request. */
  customerId: string | null;
  /** Instant at which the tokenization was created. */
  createdAt: string;
  /** Instant of the last change. */
  updatedAt: string;
  /** Instant at which the token expires; null until the gateway has named it. */
  expiresAt: string | null;
};

/** A page of tokenizations, newest first. */
export type TokenizationPage = {
  /** Tokenizations of the page, newest first. */
  items: TokenizationView[];
  /** `cursor` of the next page; null on the last page. */
  nextCursor: string | null;
};

/** One audit row: a change of a tokenization or of a message about it. */
export type TimelineEvent = {
  /** Number of the audit row. */
  id: string;
  /** Instant of the change. */
  occurredAt: string;
  /** `tokenization`, or `callback` for a message about it. */
  entityType: string;
  /** Id of the changed tokenization or callback. */
  entityId: string;
  /** Version of the tokenization or callback after the change. */
  version: number;
  /** Name of the change, such as `tokenization.activated`. */
  event: string;
  /** State before the change; null for its creation. */
  from: string | null;
  /** State after the change. */
  to: string;
  /** The one who caused the change. */
  actor: {
    /** `worker`, `backend`, `operator` or `gateway`. */
    type: string;
    /** Name of the actor, such as the name of an API key. */
    id: string;
  };
  /** Queue of the job that made the change; null without one. */
  queue: string | null;
  /** Id of that job; null without one. */
  jobId: string | null;
  /** Attempt of that job, from 1; null without a job. */
  attempt: number | null;
  /** Source of the evidence, such as `notify` or `query`; null without evidence. */
  channel: string | null;
  /** Reason code of the change; null without one. */
  reason: string | null;
  /** Gateway's result code; null without one. */
  gatewayCode: string | null;
  /** `x-request-id` of the request that caused the change; null without one. */
  traceId: string | null;
  /** Further facts: counts, instants and codes, never personal data or secrets. */
  detail: Record<string, unknown>;
};

/** A page of audit rows, oldest first. */
export type TimelinePage = {
  /** Audit rows of the page, oldest first. */
  events: TimelineEvent[];
  /** `cursor` of the next page; null on the last page. */
  nextCursor: string | null;
};

/** The inbox row of a forwarded message. */
export type KeptCallback = {
  /** Id of the inbox row. */
  id: string;
  /** Whether the inbox had the same message already. */
  isDuplicate: boolean;
};

/** A valid OPCard access token. */
export type AccessTokenView = {
  /** The access token. Keep it secret. Send it as `Authorization: <token>`, without `Bearer`. */
  accessToken: string;
  /** Number of the token among those of its credential. A report of a 401 names it. */
  generation: number;
  /** Instant at which the gateway issued the token. */
  issuedAt: string;
  /** Instant at which the token expires. */
  expiresAt: string;
  /** Seconds until it expires, on the worker's clock. */
  secondsLeft: number;
};

/** An OPCCOUNT credential, with which a backend signs its calls. */
export type OpccountCredential = {
  /** Environment of the gateway to which the credential belongs. */
  environment: 'sandbox' | 'production';
  /** Value of the header `Opccount-No`. */
  number: string;
  /** Value of the header `Va-Code`: 19 digits, too many for a JSON number. */
  vaCode: string;
  /** Private key for the signature in the header `Sign`. Keep it secret. */
  privateKey: string;
};
