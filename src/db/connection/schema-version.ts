/**
 * The latest migration of this release. It stands apart from the migrations, because the direct
 * client compares it and brings none of them along; a test compares the two.
 */
export const schemaVersion = '0034_unreadable_of_no_tokenization';
