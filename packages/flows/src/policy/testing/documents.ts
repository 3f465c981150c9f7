/** Of each generation that `apply-forever.ts` applies: so many that storing them takes a while. */
export const DOCUMENTS = 40;
