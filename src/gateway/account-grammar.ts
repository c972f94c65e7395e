/** The patterns of the fields that name an account of the gateway. */
export const accountGrammar = {
  account: /^\d{6}$/,
  terminal: /^\d{8,12}$/,
} as const;
