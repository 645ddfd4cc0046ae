import io.github.linuxforhealth.hl7.ConverterOptions;
import io.github.linuxforhealth.hl7.HL7ToFHIRConverter;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/**
 * Converts messages with LinuxForHealth's converter, and says what each took.
 *
 * <p>Usage: {@code ConvertTimed ROUNDS WARM_SECONDS}; standard input is a message in Base64 on each line, standard
 * output the least nanoseconds of this thread's processor time that each took, {@code none} where it was not converted.
 * All messages are converted over and over for WARM_SECONDS of that time before any is measured.
 */
public class ConvertTimed {

    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
    private static final long NONE = -1;

    private final HL7ToFHIRConverter converter = new HL7ToFHIRConverter();
    private final ConverterOptions options = new ConverterOptions.Builder().build();

    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        System.setOut(System.err);  // where whatever it prints goes
        int rounds = Integer.parseInt(arguments[0]);
        long warm = (long) (Double.parseDouble(arguments[1]) * 1e9);
        List<String> messages = new ArrayList<>();
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            messages.add(new String(Base64.getDecoder().decode(line), StandardCharsets.UTF_8));
        }
        var timed = new ConvertTimed();
        long until = THREADS.getCurrentThreadCpuTime() + warm;
        do {
            messages.forEach(timed::once);
        } while (THREADS.getCurrentThreadCpuTime() < until);
        for (String message : messages) {
            long least = NONE;
            for (int round = 0; round < rounds; round++) {
                long took = timed.once(message);
                least = took == NONE ? NONE : least == NONE ? took : Math.min(least, took);
                if (took == NONE) {
                    break;
                }
            }
            out.println(least == NONE ? "none" : Long.toString(least));
        }
        out.flush();
        System.exit(0);
    }

    private long once(String message) {
        long began = THREADS.getCurrentThreadCpuTime();
        try {
            String made = converter.convert(message, options);
            return made == null || made.isEmpty() ? NONE : THREADS.getCurrentThreadCpuTime() - began;
        } catch (RuntimeException | StackOverflowError fault) {
            return NONE;
        }
    }
}
