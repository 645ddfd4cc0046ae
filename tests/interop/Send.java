import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What an engine on the JVM does with the client of the JDK alone: gets a token, sends a message, reads the answer.
 *
 * <p>Usage: {@code java Send.java URL PRINCIPAL CREDENTIAL FILE [HTTP_VERSION]}. CREDENTIAL is {@code secret:TEXT},
 * {@code es384:KID:FILE} or {@code rs384:KID:FILE} (a key as PKCS #8, DER), or {@code token:TEXT}, which is sent as it
 * is. Prints the status, then the answer's body, a segment a line; exit status 3 where no answer was seen.
 */
public final class Send {

    private static final Duration WITHIN = Duration.ofSeconds(30);
    private static final Pattern TOKEN = Pattern.compile("\"access_token\"\\s*:\\s*\"([^\"]+)\"");
    private static final String ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

    private final HttpClient http;
    private final String url;
    private final String principal;

    private Send(String url, String principal, HttpClient.Version version) {
        this.http = HttpClient.newBuilder().version(version).connectTimeout(WITHIN).build();
        this.url = url;
        this.principal = principal;
    }

    public static void main(String[] arguments) throws Exception {
        var version = arguments.length > 4 ? HttpClient.Version.valueOf(arguments[4]) : HttpClient.Version.HTTP_2;
        var send = new Send(arguments[0], arguments[1], version);
        try {
            var answer = send.message(send.token(arguments[2]), Path.of(arguments[3]));
            System.out.println(answer.statusCode());
            System.out.println(answer.body().replace('\r', '\n'));
        } catch (IOException broken) {
            System.out.println("no answer: " + broken);
            System.exit(3);
        }
    }

    private HttpResponse<String> message(String token, Path file) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(url + "/$ingest"))
                .timeout(WITHIN)
                .header("Authorization", "Bearer " + token)
                .header("source-domain", "emergency-care")
                .header("organisation-code", "r0d")
                .header("data-type", "Hl7v2")
                .header("Content-Type", "text/plain")
                .POST(BodyPublishers.ofFile(file))
                .build();
        return http.send(request, BodyHandlers.ofString(StandardCharsets.UTF_8));
    }

    private String token(String credential) throws Exception {
        var parts = credential.split(":", 3);
        if (parts[0].equals("token")) {
            return parts[1];
        }
        var form = "grant_type=client_credentials";
        var request = HttpRequest.newBuilder(URI.create(url + "/$ingest/auth"))
                .timeout(WITHIN)
                .header("Content-Type", "application/x-www-form-urlencoded");
        if (parts[0].equals("secret")) {
            var basic = encoded(principal) + ":" + encoded(parts[1]);
            request.header("Authorization", "Basic " + Base64.getEncoder().encodeToString(bytes(basic)));
        } else {
            form += "&client_assertion_type=" + encoded(ASSERTION)
                    + "&client_assertion=" + assertion(parts[0], parts[1], Path.of(parts[2]));
        }
        var answer = http.send(request.POST(BodyPublishers.ofString(form)).build(), BodyHandlers.ofString());
        Matcher found = TOKEN.matcher(answer.body());
        if (answer.statusCode() != 200 || !found.find()) {
            throw new IllegalStateException(answer.statusCode() + " " + answer.body());
        }
        return found.group(1);
    }

    /** A signed assertion. Source: RFC 7523 section 2.2, RFC 7515 section 7.1, RFC 7518 sections 3.3 and 3.4. */
    private String assertion(String algorithm, String kid, Path file) throws GeneralSecurityException, IOException {
        boolean elliptic = algorithm.equals("es384");
        PrivateKey key = KeyFactory.getInstance(elliptic ? "EC" : "RSA")
                .generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(file)));
        long now = Instant.now().getEpochSecond();
        var header = "{\"alg\":\"%s\",\"kid\":\"%s\"}".formatted(elliptic ? "ES384" : "RS384", kid);
        var claims = "{\"iss\":\"%1$s\",\"sub\":\"%1$s\",\"aud\":\"%2$s\",\"iat\":%3$d,\"exp\":%4$d,\"jti\":\"%5$s\"}"
                .formatted(principal, url + "/$ingest/auth", now, now + 60, UUID.randomUUID());
        var signed = plain(bytes(header)) + "." + plain(bytes(claims));
        Signature signature = Signature.getInstance(elliptic ? "SHA384withECDSAinP1363Format" : "SHA384withRSA");
        signature.initSign(key);
        signature.update(bytes(signed));
        return signed + "." + plain(signature.sign());
    }

    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    private static String plain(byte[] raw) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(raw);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
