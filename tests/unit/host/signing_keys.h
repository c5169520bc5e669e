/* Keys for tests, and tokens that etcd 3.4 (Debian 12) made with them, for the
 * user root whose password is "pw". Nobody has any other use for them. */
#ifndef ETCHED_TESTS_UNIT_HOST_SIGNING_KEYS_H
#define ETCHED_TESTS_UNIT_HOST_SIGNING_KEYS_H

#define RSA_PRIVATE                                                      \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQDxU1gyupAy88cX\n" \
    "b/n896cxABnNS+QN4wOYPKwDzv2iRPlZHpJN0Y6nCsAoNzkLBBFbGrVMCJacREPs\n" \
    "NwJrTS8mgXI/kaEE6PP5ISSpmlHWRxWjjL7Zj1BCotABJVLX0ELE8dHt3r6UhkTI\n" \
    "0SJtpvAeysDC9JKxUV77kN9WjC7oqLHYhkdtdfMxh3EPcO/HGi9F6efXKNUsvMco\n" \
    "e15bcTtQaRDjRUycRThO2x8jhcHsf7Ue5PxaCr8kD4F4+JOfZNVcPqYY7XhrqJwe\n" \
    "qs/OQufMNN2LioRHAiP516V46g4pv+2pSQkhxU2Ar3N1QLtC72gd226jxz+tkVLo\n" \
    "0AhTHR+/AgMBAAECggEAAptMpYlOHqAQJHIR0bGRwgUTb7DHRkTd7y+X8B+wreFE\n" \
    "fbWy15nKyG0mtEuYqf4zPTYd2fHlOQWPjQhBd1Ic/qtmVngvC0YIbsqRpWgL6aKO\n" \
    "YOBFIj0zfBJ0Gisx9Q731k516zWoitjVI+rdeYNQcKFZyw62rvuqTAcabQxcnc0g\n" \
    "dlll5dGU2axidii8+lP1K+Y3Y41PWBZ7GTrAe219Cd3jDm7htRzZ5SYf+QfnN7N4\n" \
    "+MZtDssalY6SLWN193VT+fS1b0YE27qztSr9nNHifO5E9AaTcnHRYAWV3VfOxHtt\n" \
    "WEqHQ7nHvBccPHN1IqTh/3d/FBBqBLjwl3UhfZcCKQKBgQD6DwklVso5PZcLdCTB\n" \
    "6LAp4JJSWXLzx3qcOylrtP/+U1L3Amo5dUIE0t0Q6/TYO2MZO+V1L6prmArW6KxS\n" \
    "ugLFe5CnedIx/iABar1n4QPbNuBYevRPR0PM73Xl62GGgfrRdsTyhC5z6m4ZvFxt\n" \
    "C/GrzsknxsfwYCgs3NQcKLBfyQKBgQD3DzCfCc+bipT8yQrw8ZBDAgrpS11l4syO\n" \
    "Rc6GsbLk1IExE6FUrmJulsyK8CPztcYCc0bdzcpjrNMbX/aUbdSXWtXSBJemIbmY\n" \
    "IYObSi1OEmNBO3omJBj0gUy6CxgXC65mrKrrzzSHBz31zk3odsjp/Pm1toyv1AmU\n" \
    "Zsk2a5uXRwKBgQDi03DAZhHaCnxQ73HIU4I4+nTALlOPvosB3Mid4vmzgXHojlA8\n" \
    "/ph8N6pAB0l6O6SQ5zwlKK+2GZz7hOOLxx9sc8GrqV1568Kshl55NCuDViv7Fs02\n" \
    "fLaL10ti3DkDAjS6fLn6ItzgWO62eZ59bDA0YMcnRbFn4lGPIGFniaEzwQKBgQC+\n" \
    "jeS+hd6u5XCMmLPrqyXNySGJVyuujgOgKI9mrGCCxrTumWlx2x7olT8mWpogOy+C\n" \
    "bE9YfIWB46bgEmApk5zJMLKCzi/5X0G66P6NI+VVtjD/+1P3XxgwXhpD1JK8E7Js\n" \
    "Vvlt799f1mIf2QOWLShB8XDYivhwFWdeIvlHFDBpuQKBgQCLHz5b3irk1bnrDViw\n" \
    "/wklOrJQRe9mzJbRtZ3CSyg+WnN/6MX7Cyo5exGdZZ5piJBlCcGghM7qZReSC6Aw\n" \
    "1M2r1Ut+A0TGFcHbcPKvnBN7a1ihIpr2B5bNWA26Gg2OogRJKRgu+VbvaM6sYmEp\n" \
    "o0f3IkKn4We3Hdan6LASiawltA==\n"                                     \
    "-----END PRIVATE KEY-----\n"

#define RSA_PUBLIC                                                       \
    "-----BEGIN PUBLIC KEY-----\n"                                       \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA8VNYMrqQMvPHF2/5/Pen\n" \
    "MQAZzUvkDeMDmDysA879okT5WR6STdGOpwrAKDc5CwQRWxq1TAiWnERD7DcCa00v\n" \
    "JoFyP5GhBOjz+SEkqZpR1kcVo4y+2Y9QQqLQASVS19BCxPHR7d6+lIZEyNEibabw\n" \
    "HsrAwvSSsVFe+5DfVowu6Kix2IZHbXXzMYdxD3DvxxovRenn1yjVLLzHKHteW3E7\n" \
    "UGkQ40VMnEU4TtsfI4XB7H+1HuT8Wgq/JA+BePiTn2TVXD6mGO14a6icHqrPzkLn\n" \
    "zDTdi4qERwIj+deleOoOKb/tqUkJIcVNgK9zdUC7Qu9oHdtuo8c/rZFS6NAIUx0f\n" \
    "vwIDAQAB\n"                                                         \
    "-----END PUBLIC KEY-----\n"

#define RSA_1024_PUBLIC                                                  \
    "-----BEGIN PUBLIC KEY-----\n"                                       \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDJqZye/09Z33HRBhHxfauJoIbJ\n" \
    "++Jef/aNbGsyZphS2BRpkfwvOfQoRXme4XF/gWLpNSDqdbYEaA8nBdwQMRdUHmD4\n" \
    "10rYhCiqzvS2zy1YJsRUemFOKGRcSkE43bNAq+sXnO3qKROqx7Ra2KjkztgyJ2CC\n" \
    "TTQiZ3svohIXryj5GwIDAQAB\n"                                         \
    "-----END PUBLIC KEY-----\n"

#define P256_PRIVATE                                                     \
    "-----BEGIN EC PRIVATE KEY-----\n"                                   \
    "MHcCAQEEIP9/eVf3Gy9Q2MkM+zXQk9INvutiTvqZgrzm97HBD/IcoAoGCCqGSM49\n" \
    "AwEHoUQDQgAEon2rrwk/AmPv5QkhiAC52ZPff85z7AL8z7gRi0DnN6e2q/49Vy7B\n" \
    "DnONyeng10figT9DqU9N5y7bC+8gGHjmRg==\n"                             \
    "-----END EC PRIVATE KEY-----\n"

#define P256_PUBLIC                                                      \
    "-----BEGIN PUBLIC KEY-----\n"                                       \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEon2rrwk/AmPv5QkhiAC52ZPff85z\n" \
    "7AL8z7gRi0DnN6e2q/49Vy7BDnONyeng10figT9DqU9N5y7bC+8gGHjmRg==\n"     \
    "-----END PUBLIC KEY-----\n"

#define P256_CERTIFICATE                                                 \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBbjCCARWgAwIBAgIUW1eAfWnHDFqIhjXgKCze9eAl22YwCgYIKoZIzj0EAwIw\n" \
    "DDEKMAgGA1UEAwwBeDAgFw0yNjExMjMwMzA5MDRaGA8yMTI2MTAzMDAzMDkwNFow\n" \
    "DDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKJ9q68JPwJj\n" \
    "7+UJIYgAudmT33/Oc+wC/M+4EYtA5zentqv+PVcuwQ5zjcnp4NdH4oE/Q6lPTecu\n" \
    "2wvvIBh45kajUzBRMB0GA1UdDgQWBBRXh45fC9dEMtH0OS/k/On+MrWzkjAfBgNV\n" \
    "HSMEGDAWgBRXh45fC9dEMtH0OS/k/On+MrWzkjAPBgNVHRMBAf8EBTADAQH/MAoG\n" \
    "CCqGSM49BAMCA0cAMEQCIAMnAGoex8XQ2NE5garFcF5HmGWukRl7ldrdMNCquhcy\n" \
    "AiBmLKMVNzTjCs8UukMKKBOsTdAsyxGcI8LjjFFTrncvrQ==\n"                 \
    "-----END CERTIFICATE-----\n"

#define P256_ENCRYPTED                                                   \
    "-----BEGIN EC PRIVATE KEY-----\n"                                   \
    "Proc-Type: 4,ENCRYPTED\n"                                           \
    "DEK-Info: AES-256-CBC,70352C1CA03AEAC1E8289C1ACE0F13CE\n"           \
    "\n"                                                                 \
    "mQaWGIMemQ0D+urmK1CHl3xAmf1qrZrnwM0Xk7j2JwgmVB8eOGtULnYZgmtJi6ba\n" \
    "Sbv0C8+PJgy8s3yR9HEdZbgEmkfYnhAXZfpwQGkEWWg/Q8seVBNn3KlsJMpEEKV6\n" \
    "D2rKXi579/PG0dfdRHYOefkUTFn815vbpKaoMTHS/Ak=\n"                     \
    "-----END EC PRIVATE KEY-----\n"

#define P256_OTHER_PRIVATE                                               \
    "-----BEGIN EC PRIVATE KEY-----\n"                                   \
    "MHcCAQEEIP5Jpobzamx3GxgXxiZHaQ/BWO9iZfx4rHBWkd3cp3umoAoGCCqGSM49\n" \
    "AwEHoUQDQgAENI5zlHqL9AHK+Dm+/9u4Q6S9t3HStYkvftPLXfitFhjLliqT1JAb\n" \
    "2bvlrUREDXqVZ9RJNeBcwAS2b6R5m9yCOw==\n"                             \
    "-----END EC PRIVATE KEY-----\n"

#define P256_OTHER_PUBLIC                                                \
    "-----BEGIN PUBLIC KEY-----\n"                                       \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENI5zlHqL9AHK+Dm+/9u4Q6S9t3HS\n" \
    "tYkvftPLXfitFhjLliqT1JAb2bvlrUREDXqVZ9RJNeBcwAS2b6R5m9yCOw==\n"     \
    "-----END PUBLIC KEY-----\n"

#define P384_PRIVATE                                                     \
    "-----BEGIN EC PRIVATE KEY-----\n"                                   \
    "MIGkAgEBBDCgnP1sZ6p4ziSAFHTrgvWf3Odwbck8LgeEyGlehet+d7YaYG4+Ah8X\n" \
    "/EK1m0eMng6gBwYFK4EEACKhZANiAASPaQ3OCGXcor0Onha0ckuWR1Rd4uIqVpBn\n" \
    "0tfA81GNKyZhtJHnEkF4ska0rXtxiiAaDnrPbxMwn+sWSC0AQXlRCcGuUqD043PL\n" \
    "AV1Wqlg4vNfVXG2Vloc+BI4rj7mkBQM=\n"                                 \
    "-----END EC PRIVATE KEY-----\n"

#define P384_PUBLIC                                                      \
    "-----BEGIN PUBLIC KEY-----\n"                                       \
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEj2kNzghl3KK9Dp4WtHJLlkdUXeLiKlaQ\n" \
    "Z9LXwPNRjSsmYbSR5xJBeLJGtK17cYogGg56z28TMJ/rFkgtAEF5UQnBrlKg9ONz\n" \
    "ywFdVqpYOLzX1VxtlZaHPgSOK4+5pAUD\n"                                 \
    "-----END PUBLIC KEY-----\n"

#define P521_PRIVATE                                                     \
    "-----BEGIN EC PRIVATE KEY-----\n"                                   \
    "MIHcAgEBBEIBtzOOyv0pWXCMOsyyVIsjWs13BxP0yEcb9M5cx9bWCYwrevqJSgVa\n" \
    "6gbF3FOV1mC0x0+gasCBHBc4uyHIoC4C1wCgBwYFK4EEACOhgYkDgYYABAEli3rh\n" \
    "xc9bzh5RbRZ6D1VfiteV49mMxs74WLgBey+dYYVwD7Rvg7ZzAo+BRwrZl5Abj/tF\n" \
    "6tqF05X9EjEHNMfxRQFSIMlsn1CvhR5h3yERnG0pVBevnld5W0TUWh+8I/6Gs2Do\n" \
    "80xjs0CRtGstxwoAleEDOYd5bfwdb95LfMhP0ev3TA==\n"                     \
    "-----END EC PRIVATE KEY-----\n"

#define P521_PUBLIC                                                      \
    "-----BEGIN PUBLIC KEY-----\n"                                       \
    "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBJYt64cXPW84eUW0Weg9VX4rXlePZ\n" \
    "jMbO+Fi4AXsvnWGFcA+0b4O2cwKPgUcK2ZeQG4/7RerahdOV/RIxBzTH8UUBUiDJ\n" \
    "bJ9Qr4UeYd8hEZxtKVQXr55XeVtE1FofvCP+hrNg6PNMY7NAkbRrLccKAJXhAzmH\n" \
    "eW38HW/eS3zIT9Hr90w=\n"                                             \
    "-----END PUBLIC KEY-----\n"

#define ED25519_PRIVATE                                                  \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MC4CAQAwBQYDK2VwBCIEIEqxicj9LzEM077cz73Lx4M9vEGWhbTOiivAmAhiSbby\n" \
    "-----END PRIVATE KEY-----\n"

#define ED25519_PUBLIC                                               \
    "-----BEGIN PUBLIC KEY-----\n"                                   \
    "MCowBQYDK2VwAyEAtl7KQRV8j0wzh3XmuixdFWu8J20UGoadiSxamiEJfgo=\n" \
    "-----END PUBLIC KEY-----\n"

/* 64 letters. */
#define SHARED_SECRET \
    "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"

#define ETCD_RS256                                                 \
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTU0MDM2NDQ" \
    "sInJldmlzaW9uIjozLCJ1c2VybmFtZSI6InJvb3QifQ.OesOMRv1GriolD0n" \
    "w_bq-jEWYNP5z_aysrAAptA8-wa7QDuhx6YK_cDCjqUf-Ulfw6ZCU4mri_4w" \
    "8z9KZpfhKthsaqzOjdfrOfGuF7K2wdvZkD72i2eU80gXAIQe9UghUmVf87xd" \
    "nIjBmdcVO-7eaxwc3QSfY629REm6PdOpF1rYSeE_fhixdJRQE186q-ooqNb3" \
    "TohK-LoVNWp8jyct6gZs7c6zH2d5o9cu5T10c4GvTyorECIKQPEqHu7oyvhw" \
    "VIak7H35B9b1AbrsO0u4HJF3tipvycs_4SXv_vFpxNr-UpeMPhcLP22NmbWJ" \
    "gtI6xlHqdAn3Ks29WPzwGRiUaA"

#define ETCD_RS384                                                 \
    "eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTU0MDM2NDU" \
    "sInJldmlzaW9uIjozLCJ1c2VybmFtZSI6InJvb3QifQ.Op9YyQGAB8e02VwK" \
    "tH7Pt0mUs3yw6OUbMv4CqPQ02l7kLC9vTTE1ovJ5T7vxGMbhBEJsPlPRmd8B" \
    "0D2v-9P0yHjvQDQ49jGSr6sSTxBrepN2cXAe0sP7ZnpI7svFfyAcJFUKwEAd" \
    "e2owBGLDm5T219ssXFM8Vt0VVJ4bG_Z4xT1zyG_9tqVrbL2EHENoWnHy14-L" \
    "JSfHfEYT4_V1zFo34TocgwggIIcAysY3GRgKyv3Urza6YxcSgqNAUvUNVyU6" \
    "pTwWjwGOaoNQfe9SZuyIcUprnm-k3Oj9M-L8uIg_1jkNu7h4KbmJrYrYm3Ln" \
    "0AAU7hoyEvJ9XFWwH2TjsbPfDQ"

#define ETCD_RS512                                                 \
    "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTU0MDM2NDY" \
    "sInJldmlzaW9uIjozLCJ1c2VybmFtZSI6InJvb3QifQ.uehiL0b3GlN7QJHE" \
    "WqTBHlnaGJnMl6hzs-y77DIWxbp4Cn1q4Dd7fZLTQ_kS7uo_N3H25KXiWSOM" \
    "n5ywPu_q86-CaRbSEeqKjmD_sPuM_oY5viGi5s7cQyf9-ubtRQz8GQBzhd_n" \
    "gr4bt38_S7vNicn-7fwcucb2GCFDIxHfKiMVuUN31ceKni-PfOLce1nC0QxT" \
    "PThy-Id9QQk-OYG6gNFBj1HAyN7uJ6dEMgJr6nsTDQvpIKoh8Chvx-YUums4" \
    "nRTti7TidFmoT-QXM4Llfju9dErxEVejzFTsR2IK5mIpnLtwY1lB9PqYut86" \
    "nNOv83ffeGqsH0jYHFCSwLeC7A"

#define ETCD_PS256                                                 \
    "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTU0MDM2NDc" \
    "sInJldmlzaW9uIjozLCJ1c2VybmFtZSI6InJvb3QifQ.pNwY7KzH9e1umd_K" \
    "lO_OrIRQAcmf_Gi91o3zmnKtfbdjuQ27GubEZvKxNhFVkxW9EpljeQ0sPE6B" \
    "eHg8evt0jPwMIbhICTvhL73QDVtDG16pl_uIh__xEg2FNUhq28yOXD8MbddT" \
    "ZJUd1NBxqZl__SjPxnApi5nMxgCLVeRZVy1c72jSSViqeTbo2ohPinf2CXHa" \
    "e7FiLWjuvMFsGa_sL1qmG50mYJJSRrixyt5HG_9P02KZNbwYjsBkXZ0mmZL_" \
    "jY5bAtB97uRNInp3ZDY8f8s1lyaX8N3u5s37Tqsp4mBazvLCjzQOWvEtiCMw" \
    "OoyDITRk6wBwZL8pd8uqQf-9pQ"

#define ETCD_PS384                                                 \
    "eyJhbGciOiJQUzM4NCIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTU0MDM2NDg" \
    "sInJldmlzaW9uIjozLCJ1c2VybmFtZSI6InJvb3QifQ.XupFdf2a3cEkDGDx" \
    "gQgwJDyGo6jXX7SSKi0OApsoPBrq29tDKZeuxt6Lh3vRwIg_B4CW9U7ah4LJ" \
    "-dcr2IV2oo3xM4u1IwTRO-uIb3GzTXVxOMNLqLS3hYIKQy5Hz06RtOWYEX1B" \
    "YfjUjj0Y0O5pMR9wwMAtgJu7JnYo9yPCItjzthI0eqq3cm9W9lj8290t-GH_" \
    "sybUtSfNmDEo8G57ewLrKE6CzTK1OLIeUaDBxFv1Y1lidDej5u7UzGpxEUYp" \
    "pksMpSWrWR710TVlpfCB3OLtiTMjnvDRfJmdVOTPpYWIG40SSQl1j5RO80Pm" \
    "WB-W4TtbYz4Z9NbFGm50gwHJ-Q"

#define ETCD_PS512                                                 \
    "eyJhbGciOiJQUzUxMiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTU0MDM2NDg" \
    "sInJldmlzaW9uIjozLCJ1c2VybmFtZSI6InJvb3QifQ.AhCrG8QDV6TDU5eN" \
    "GQP4puPxRb9ZGz4etsLyE7Muu2UB1Q_KwZU1pJfOEDjUAT1LkcwBSN6yJZQM" \
    "sQ20KpuISAICNeiKBPXyFGJdusHi1L-H6BJN0rB_k8dM9M1Nd_JZlNwGRDk0" \
    "osWKbLRFxtpBPtkGpyC2oiTUabnDkE1QtwUbs4YSBoEl4bmwPAhGblfJKHWF" \
    "FUMVGRGymrIQWvRL_Jn3f-LGi9m5i3JqoM_wjPw_ULkNbp-_r_JK30_PGzg8" \
    "tTBIjHL7SMGA7CcSG1elGm_HxtWsFgq08TGVWFeAkAG691Fq2tu-GE7sTEPL" \
    "jpioAgTvKWT2vvvGla9fUnuqBA"

#define ETCD_ES256                                                 \
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTU0MDM2NDk" \
    "sInJldmlzaW9uIjozLCJ1c2VybmFtZSI6InJvb3QifQ.8SdxGiNu-hPn78GI" \
    "7oiiJGE8Mxo0jSkPTdyfshmsFL_Wc5R56yjP5KYzV4_A8HAuhGgEpeyJFDCE" \
    "UkdW4YBorA"

#define ETCD_ES384                                                 \
    "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTU0MDM2NTA" \
    "sInJldmlzaW9uIjozLCJ1c2VybmFtZSI6InJvb3QifQ.cYLjv2FbN7A8Konh" \
    "GKwg0HXl3cz59Yu0-OE1tEiOnUtIZPuB2blUEiakvI6JgE0ECYuJjFwpFsN_" \
    "nLhjq6s0x3p8DYyi9Ap56P5pffTAtJihT5VbRb1ijt79Df0ofxqJ"

#define ETCD_ES512                                                 \
    "eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTU0MDM2NTA" \
    "sInJldmlzaW9uIjozLCJ1c2VybmFtZSI6InJvb3QifQ.AVSh4fadjhd8yG5v" \
    "WSsTtpNs8G9VgbNRMsxAdxt5SUDnqmir3LalOVrEEsXoUUDPocaE-MZ5ekiw" \
    "NxM2B-0LVbavAQOXxXGSmx_VciTEALB6joXTnfIlfM-2D9_u4bz7LxXtTBa5" \
    "vEs0uwN3PTVgYsFDv9oI4U5-JBMZr86EqAj-dv0N"

#define ETCD_HS256                                                 \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTU0MDM2NTE" \
    "sInJldmlzaW9uIjozLCJ1c2VybmFtZSI6InJvb3QifQ.QdFwQmu0qb9_W4uD" \
    "v-J_HESFLg7Cu91PzfNYEbkFBXI"

#define ETCD_PASSWORD_HASH \
    "$2a$04$7KMiJ.RulDM4wF7F2dlHY.1iKRfoBsJo1FgBfkG259z5lbW9c3w.O"

#endif
