/** The program of the demo's guest, assembled from scripts/demo-guest/guest.s by scripts/demo-guest.mjs; base64. */
export const GUEST_CODE =
  'U1ZXQVRBVUFWQVdIg+xASYnXSItaYEiNFdMAAABMjUQkMP+TmAAAAEiFwA+FjgAAAEiLRCQwSItIGEiNFb8AAABMjUQkMP+TmAAA' +
  'AEiFwHVuSIt0JDBIjT2zDwAARTHkTIsHTItPCE2FyXRBSItGCIsQSInxTI01hC8AAEyJdCQg/1YYSIXAdTZIi08ISMHpA00DJkmD' +
  'xghI/8l19EiLTxD/k/gAAABIg8cY67NMOyVMDwAAdQlIjTVTAAAA6wdIjTVZAAAAuvgDAACshMB0A+7r+EmLR1i5AgAAADHSRTHA' +
  'RTHJ/1Bo9Ov9Zg8fRAAAoTEbW2KV0hGOPwCgyWlyOyFbTpZZZNIRjjkAoMlpcjtndWVzdDogcmVhZHkNCgBndWVzdDogdGhpcyBp' +
  'cyBub3QgbXkgZGlzaw0KAA==';
