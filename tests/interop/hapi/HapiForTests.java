import ca.uhn.fhir.batch2.jobs.config.Batch2JobsConfig;
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings.ClientIdStrategyEnum;
import ca.uhn.fhir.jpa.api.config.ThreadPoolFactoryConfig;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.batch2.JpaBatch2Config;
import ca.uhn.fhir.jpa.binstore.DatabaseBinaryContentStorageSvcImpl;
import ca.uhn.fhir.jpa.config.HapiJpaConfig;
import ca.uhn.fhir.jpa.config.HibernatePropertiesProvider;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.util.HapiEntityManagerFactoryUtil;
import ca.uhn.fhir.jpa.model.config.PartitionSettings;
import ca.uhn.fhir.jpa.model.config.SubscriptionSettings;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirH2Dialect;
import ca.uhn.fhir.jpa.provider.IJpaSystemProvider;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.subscription.channel.config.SubscriptionChannelConfig;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import jakarta.persistence.EntityManagerFactory;
import java.net.InetSocketAddress;
import java.util.Properties;
import javax.sql.DataSource;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.h2.jdbcx.JdbcConnectionPool;
import org.hibernate.dialect.Dialect;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Primary;
import org.springframework.orm.jpa.JpaTransactionManager;
import org.springframework.orm.jpa.LocalContainerEntityManagerFactoryBean;

/**
 * A HAPI FHIR JPA server (R4) for the interop tests, on loopback, forgotten when it ends.
 *
 * <p>Usage: {@code HapiForTests PORT [ALPHANUMERIC|ANY]}; the second is which ids a client may choose. HAPI's own
 * default, ALPHANUMERIC, takes none that are digits alone.
 */
@Configuration
@Import({
    Batch2JobsConfig.class,
    HapiJpaConfig.class,
    JpaBatch2Config.class,
    JpaR4Config.class,
    SubscriptionChannelConfig.class,
    ThreadPoolFactoryConfig.class
})
public class HapiForTests {

    private static final String ADDRESS = "127.0.0.1";
    private static ClientIdStrategyEnum clientIds = ClientIdStrategyEnum.ANY;

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        if (arguments.length > 1) {
            clientIds = ClientIdStrategyEnum.valueOf(arguments[1]);
        }
        var context = new AnnotationConfigApplicationContext(HapiForTests.class);
        var servlet = new ServletHolder(context.getBean(RestfulServer.class));
        servlet.setInitOrder(0);
        var handler = new ServletContextHandler();
        handler.setContextPath("/");
        handler.addServlet(servlet, "/fhir/*");
        var server = new Server(new InetSocketAddress(ADDRESS, port));
        server.setHandler(handler);
        server.start();
        server.join();
    }

    /**
     * HAPI's defaults, but for the client's ids, that a search sees what was just written, references to what the
     * record doesn't hold (yet), and `$expunge` of all.
     */
    @Bean
    JpaStorageSettings storage() {
        var settings = new JpaStorageSettings();
        settings.setResourceClientIdStrategy(clientIds);
        if (clientIds == ClientIdStrategyEnum.ANY) {
            // the server's own numbers could meet the clients'
            settings.setResourceServerIdStrategy(JpaStorageSettings.IdStrategyEnum.UUID);
        }
        settings.setReuseCachedSearchResultsForMillis(null);
        settings.setEnforceReferentialIntegrityOnWrite(false);
        settings.setExpungeEnabled(true);
        settings.setAllowMultipleDelete(true);  // which `$expunge` of everything asks for
        return settings;
    }

    @Bean
    PartitionSettings partitions() {
        return new PartitionSettings();
    }

    @Bean
    SubscriptionSettings subscriptions() {
        return new SubscriptionSettings();
    }

    @Bean
    DatabaseBinaryContentStorageSvcImpl binaries() {
        return new DatabaseBinaryContentStorageSvcImpl();
    }

    @Bean
    DataSource database() {
        return JdbcConnectionPool.create("jdbc:h2:mem:interop;DB_CLOSE_DELAY=-1", "sa", "");
    }

    @Bean
    @Primary
    HibernatePropertiesProvider hibernate() {
        return new HibernatePropertiesProvider() {
            @Override
            public Dialect getDialect() {
                return new HapiFhirH2Dialect();
            }
        };
    }

    @Bean
    @Primary
    LocalContainerEntityManagerFactoryBean entityManagerFactory(
            ConfigurableListableBeanFactory beans,
            FhirContext fhir,
            JpaStorageSettings settings,
            DataSource database) {
        var properties = new Properties();
        properties.setProperty("hibernate.dialect", HapiFhirH2Dialect.class.getName());
        properties.setProperty("hibernate.hbm2ddl.auto", "create");
        properties.setProperty("hibernate.search.enabled", "false");
        var factory = HapiEntityManagerFactoryUtil.newEntityManagerFactory(beans, fhir, settings);
        factory.setPersistenceUnitName("interop");
        factory.setDataSource(database);
        factory.setJpaProperties(properties);
        return factory;
    }

    @Bean
    @Primary
    JpaTransactionManager transactionManager(EntityManagerFactory factory) {
        return new JpaTransactionManager(factory);
    }

    @Bean
    RestfulServer rest(
            FhirContext fhir,
            IFhirSystemDao<?, ?> system,
            IJpaSystemProvider operations,
            ResourceProviderFactory resources,
            JpaStorageSettings settings,
            ISearchParamRegistry parameters,
            IValidationSupport validation,
            DatabaseBackedPagingProvider paging) {
        var server = new RestfulServer(fhir);
        server.registerProvider(operations);
        server.registerProviders(resources.createProviders());
        server.setServerConformanceProvider(
                new JpaCapabilityStatementProvider(server, system, settings, parameters, validation));
        server.setPagingProvider(paging);
        return server;
    }
}
