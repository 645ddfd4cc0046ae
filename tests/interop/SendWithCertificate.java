import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * What an engine on the JVM does with a certificate of its own: gets a token by mutual TLS, sends a message over it.
 *
 * <p>Usage: {@code java SendWithCertificate.java URL PRINCIPAL KEYSTORE TRUSTSTORE PASSWORD_FILE FILE}, both stores as
 * PKCS #12 with one password. Prints the status, then the answer's body, a segment a line; exit status 3 where no
 * answer was seen. Source: RFC 8705 section 2.1.
 */
public final class SendWithCertificate {

    private static final Duration WITHIN = Duration.ofSeconds(30);
    private static final Pattern TOKEN = Pattern.compile("\"access_token\"\\s*:\\s*\"([^\"]+)\"");

    private SendWithCertificate() {}

    public static void main(String[] arguments) throws Exception {
        var word = Files.readString(Path.of(arguments[4])).strip().toCharArray();
        var tls = context(opened(arguments[2], word), opened(arguments[3], word), word);
        var http = HttpClient.newBuilder().sslContext(tls).connectTimeout(WITHIN).build();
        try {
            var token = token(http, arguments[0], arguments[1]);
            var request = asked(arguments[0] + "/$ingest")
                    .header("Authorization", "Bearer " + token)
                    .header("source-domain", "emergency-care")
                    .header("organisation-code", "r0d")
                    .header("data-type", "Hl7v2")
                    .header("Content-Type", "text/plain")
                    .POST(BodyPublishers.ofFile(Path.of(arguments[5])))
                    .build();
            var answer = http.send(request, BodyHandlers.ofString(StandardCharsets.UTF_8));
            System.out.println(answer.statusCode());
            System.out.println(answer.body().replace('\r', '\n'));
        } catch (IOException broken) {
            System.out.println("no answer: " + broken);
            System.exit(3);
        }
    }

    private static String token(HttpClient http, String url, String principal) throws Exception {
        var form = "grant_type=client_credentials&client_id=" + principal;
        var request = asked(url + "/$ingest/auth")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .POST(BodyPublishers.ofString(form))
                .build();
        HttpResponse<String> answer = http.send(request, BodyHandlers.ofString());
        Matcher found = TOKEN.matcher(answer.body());
        if (answer.statusCode() != 200 || !found.find()) {
            throw new IllegalStateException(answer.statusCode() + " " + answer.body());
        }
        return found.group(1);
    }

    private static HttpRequest.Builder asked(String address) {
        return HttpRequest.newBuilder(URI.create(address)).timeout(WITHIN);
    }

    private static SSLContext context(KeyStore keys, KeyStore trusted, char[] word) throws GeneralSecurityException {
        var own = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        own.init(keys, word);
        var others = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        others.init(trusted);
        var context = SSLContext.getInstance("TLS");
        context.init(own.getKeyManagers(), others.getTrustManagers(), null);
        return context;
    }

    private static KeyStore opened(String file, char[] word) throws GeneralSecurityException, IOException {
        var store = KeyStore.getInstance("PKCS12");
        try (InputStream content = Files.newInputStream(Path.of(file))) {
            store.load(content, word);
        }
        return store;
    }
}
